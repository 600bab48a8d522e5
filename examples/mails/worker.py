"""The job of the example `mails`: what Python's own mail parser makes of a file, which has seen them all."""

import email
import email.policy
import email.utils

from triune_worker import serve


def summary(path):
    with open(path, "rb") as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    if mail["date"] is None:
        raise ValueError("it has no date, so it is no mail")
    names = [part.get_filename("nameless") for part in mail.iter_attachments()]
    _, sender = email.utils.parseaddr(mail["from"] or "")
    # The names of the fields are those of the struct in Rust.
    return {
        "day": mail["date"].datetime.date().isoformat(),
        "sender": sender,
        "subject": mail["subject"] or "",
        "attachments": names,
    }


serve({"summary": summary})
