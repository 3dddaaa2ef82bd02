// How the bot stands in one conversation, and the buttons that take it over or give it back.
