"""Plan and C → attached programs → events → text or JSON."""
