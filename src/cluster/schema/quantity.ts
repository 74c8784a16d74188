/** A quantity of a resource (`100m`, `1Gi`, `2e3`). */
export interface Quantity {
  /** The value times 10^9, as an exact integer. */
  readonly nanos: bigint;
  readonly format: "decimal" | "binary" | "exponent";
}

const decimalSuffixes: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  "": 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const binarySuffixes: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?$/;
const nano = 1_000_000_000n;

/**
 * Parses a quantity. As in Kubernetes, it rounds values finer than 10^-9 away from zero. Returns undefined for an
 * invalid quantity.
 */
export function parseQuantity(text: string): Quantity | undefined {
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = "", suffix = "", exponent] = match;
  if (whole === "" && fraction === "") return undefined;
  const digits = BigInt(whole + fraction);
  const binary = binarySuffixes[suffix];
  const power = exponent === undefined ? (decimalSuffixes[suffix] ?? 0) : Number(exponent);
  const scaled =
    binary === undefined
      ? scaleByTen(digits, power - fraction.length + 9)
      : scaleByTen(digits << BigInt(binary), 9 - fraction.length);
  const format = exponent === undefined ? (binary === undefined ? "decimal" : "binary") : "exponent";
  return { nanos: sign === "-" ? -scaled : scaled, format };
}

function scaleByTen(value: bigint, power: number): bigint {
  if (power >= 0) return value * 10n ** BigInt(power);
  const divisor = 10n ** BigInt(-power);
  return (value + divisor - 1n) / divisor;
}

/** The form in which Kubernetes writes the quantity. Returns an invalid quantity unchanged. */
export function canonicalQuantity(text: string): string {
  const quantity = parseQuantity(text);
  return quantity === undefined ? text : quantityText(quantity);
}

export function quantityText({ nanos, format }: Quantity): string {
  if (nanos === 0n) return "0";
  const sign = nanos < 0n ? "-" : "";
  const magnitude = nanos < 0n ? -nanos : nanos;
  if (format === "binary" && magnitude % nano === 0n && magnitude / nano >= 1024n)
    return sign + binaryForm(magnitude / nano);
  return sign + decimalForm(magnitude, format === "exponent");
}

function binaryForm(value: bigint): string {
  let rest = value;
  let suffix = "";
  for (const [name, shift] of Object.entries(binarySuffixes)) {
    if (value % (1n << BigInt(shift)) !== 0n) break;
    rest = value >> BigInt(shift);
    suffix = name;
  }
  return `${rest}${suffix}`;
}

function decimalForm(nanos: bigint, exponentForm: boolean): string {
  let power = -9;
  let rest = nanos;
  while (rest % 1000n === 0n && power < 18) {
    rest /= 1000n;
    power += 3;
  }
  if (exponentForm) return power === 0 ? `${rest}` : `${rest}e${power}`;
  const suffix = Object.entries(decimalSuffixes).find(([, exponent]) => exponent === power)?.[0] ?? "";
  return `${rest}${suffix}`;
}

export function compareQuantities(a: Quantity, b: Quantity): number {
  return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
}

/** The sum of two quantities. As in Kubernetes, it has the format of the first quantity that is not zero. */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return { nanos: a.nanos + b.nanos, format: a.nanos === 0n ? b.format : a.format };
}
