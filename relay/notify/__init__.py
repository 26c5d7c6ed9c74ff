"""What we have to tell: bounces to senders, notices to users and the operator.

`report` writes what became of a message, `mismatch` notes that a user sent as somebody he
may not be, `dispatcher` mails the notices that are still untold.  The words are in `templates`, the
letters are put together in `compose`; both kinds travel through the same queue as all other mail.
"""
