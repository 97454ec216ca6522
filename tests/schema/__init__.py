"""What Schemathesis is told beside the documents."""
