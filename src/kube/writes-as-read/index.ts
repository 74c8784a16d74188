// Writes that affect only the object that a person has seen, and not a newer one with the same name.
export { createAsApplied } from "./create-as-applied.ts";
export { deleteThisObject } from "./delete-this-object.ts";
export { patchThisObject } from "./patch-this-object.ts";
export { patchAsRead } from "./patch-as-read.ts";
