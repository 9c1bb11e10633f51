"""The prompt: text typed at it → programs that run in the background, maps shown, commands carried out."""
