"""ocg-tool: what runs in a cage, a process for each call, with the workspace as its folder."""
