/**
 * Thrown when an engine finds its lease older than it has written it: somebody has restored the server's storage from a
 * backup.
 */
export class Restored extends Error {}

/** Thrown when an engine notices that it no longer leads. */
export class NotLeading extends Error {}

/** Thrown when the process of an engine ends at a certain point of a round. */
export class Killed extends Error {}

/** The server's error if it cannot read an object, although it can write the rollout's status. */
export class Unreadable extends Error {}

/** The server's error if a write names an outdated version. */
export class Conflict extends Error {}

/** The server's error if a patch expects another value than the current one, or if a webhook refuses the object. */
export class PatchRefused extends Error {}
