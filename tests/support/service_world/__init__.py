"""One engine wired as in production, in virtual time: real SQL, scripted broker, faulty store."""
