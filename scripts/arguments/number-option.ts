interface NumberLimits {
  readonly isWhole?: boolean;
  /** The smallest number. If absent, the number must be above 0. */
  readonly minimum?: number;
}

/**
 * Reads a number. Any other text ends the process with exit code 2 and a message that names the option. With NaN, a
 * script would never end, or would do nothing and report a success.
 */
export function numberOption(option: string, text: string, { isWhole = false, minimum }: NumberLimits = {}): number {
  const value = /^[\d.]+$/.test(text) ? Number(text) : Number.NaN;
  const isWithin = minimum === undefined ? value > 0 : value >= minimum;
  if (Number.isFinite(value) && isWithin && (!isWhole || Number.isInteger(value))) return value;
  const expected = `a ${isWhole ? "whole " : ""}number ${minimum === undefined ? "above 0" : `from ${minimum}`}`;
  process.stderr.write(`${option} must be ${expected}, got "${text}"\n`);
  process.exit(2);
}
