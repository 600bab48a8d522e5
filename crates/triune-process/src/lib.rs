//! One child process of triune: re-executed entry, spawn, watch, terminate, reap
