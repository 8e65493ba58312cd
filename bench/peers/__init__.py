"""One contender a file: ``train(task, data, clock, epochs, seed)`` trains it its own way and returns what it trained."""
