"""Failed slices of a batch job: why they failed, their records, and mending those.

The paths are those of the original. A slice is named by its id (`slice=`); `offset=`, its place
among those that failed with an exception of one class, still leads to one, for old bookmarks.
Their routes belong to the section of jobs.
"""
