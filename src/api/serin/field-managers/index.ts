/** Who wrote which field of an object. It is separate from the kinds, because few processes need it. */
export { withoutClaim } from "./field-claims.ts";
export {
  fieldManager,
  isEngine,
  isHeldByCanary,
  isMovedToRevision,
  isOurs,
  lastWriter,
  whoWrote,
} from "./field-managers.ts";
