"""What odec is measured against, each in a file of its own."""
