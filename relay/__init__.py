"""An SMTP relay with per-user authorization and a durable priority queue.

A letter arrives at the `submission` door, is checked by `policy`, laid safely in the `queue`,
carried out through `delivery`, and somebody is told what became of it by `notify`.  The `admin`
panel and the `cli` are windows on the same rooms.  Submission and delivery know nothing of each
other: the queue is the only door between them, and the queue is the database.

To read the code, begin with the words (`mail`), then follow one message: `submission.handler`,
`policy`, `queue.accept`, `queue.claim`, `delivery.worker`, `delivery.attempt`, `queue.settle`,
`notify.report`.  `service` shows how one process is put together, `supervisor` how a node is.
"""

__version__ = "0.1.0"
