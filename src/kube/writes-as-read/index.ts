// Writes that a person has ordered. They affect only the object that the person has seen, not a newer one with the same
// name.
export { createAsApplied } from "./create-as-applied.ts";
export { deleteThisObject } from "./delete-this-object.ts";
export { patchThisObject } from "./patch-this-object.ts";
export { patchAsRead } from "./patch-as-read.ts";
