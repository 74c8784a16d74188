/** Ends an engine that notices by its lease that somebody has restored the server's storage from a backup. */
export class Restored extends Error {}

/** Thrown when an engine that no longer leads is about to write. */
export class NotLeading extends Error {}

/** Ends an engine after it has journaled the first writes of a step. */
export class Killed extends Error {}

/** The object cannot be read, although the rollout's status can be written. */
export class Unreadable extends Error {}

/** The server's error if a write names an outdated version of the object. */
export class Conflict extends Error {}

/** The server's error if a patch expects another value than the present one, or if a webhook refuses the write. */
export class PatchRefused extends Error {}
