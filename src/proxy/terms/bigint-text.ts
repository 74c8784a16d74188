/** A replacer for JSON.stringify that writes 64-bit integers as texts, because JSON.stringify refuses them. */
export function bigintText(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
