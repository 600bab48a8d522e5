//! Structured concurrency from a task to a process: one nursery for tasks, worker jobs and actors
