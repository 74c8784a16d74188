/** A mistake in the command line. Its message is all that the user needs. */
export class UsageError extends Error {}
