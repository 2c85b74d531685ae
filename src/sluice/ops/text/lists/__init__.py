"""Word lists that come with Sluice; README.md says where each is from and under which licence."""
