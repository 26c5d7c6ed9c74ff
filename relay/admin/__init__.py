"""The windows: what an operator, a balancer and a monitoring system see of the node.

It runs in a process of its own, so that nothing asked here can slow or stop the mail.  `app` puts
the routes together, `health` and `metrics` answer the machines, `consent` whoever follows a letter's
link (drawn by `page`), `security` sets the headers of every answer, `server` runs it all on one socket.
"""
