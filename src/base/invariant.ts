/** Thrown by {@link invariant}: a belief of ours was wrong, and going on would make it worse. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** Asserts what must hold whatever anybody sends us. Never for input: parse that instead. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}
