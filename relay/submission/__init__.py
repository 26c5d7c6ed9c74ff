"""The door in: clients connect, prove who they are, and hand over their mail.

`listener` opens the ports; `connection` is a socket there; `server` carries one connection's bytes;
`framing` cuts them into lines and contents without any I/O; `verbs` has one file for each command and
`extensions` one for each ESMTP extension; `auth` the mechanisms; `handler` asks policy and `keeping`
writes to the queue; `replies` is every answer we give.

Law 1 is kept in `keeping`: 250 is said after the commit, never before.
"""
