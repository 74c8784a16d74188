/** A mistake in the command line. The user needs only its message, and no stack trace. */
export class UsageError extends Error {}
