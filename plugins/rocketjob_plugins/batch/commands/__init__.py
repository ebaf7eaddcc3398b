"""`rocketjob batch upload|download` and `rocketjob rejects list|download|resubmit`."""
