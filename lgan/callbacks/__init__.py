"""Callbacks: what happens at the border between two tasks, and every few steps inside one."""
