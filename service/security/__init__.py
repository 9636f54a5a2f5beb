"""Who may call and how both sides prove who they are; knows nothing of books."""
