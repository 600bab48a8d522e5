//! Actors in processes of their own, with typed calls and dialogs
