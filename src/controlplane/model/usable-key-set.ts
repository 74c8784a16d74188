import { memos } from "./memos.ts";

const usable = memos.memo<object, string | null>("usable-key-sets");

/**
 * The key set (JWKS) in a form that Envoy accepts. Undefined if Envoy can use none of its keys: it would reject the
 * whole listener then, and a waypoint's listener serves other namespaces, too. The result is remembered for `owner`,
 * the object that contains the text.
 */
export function usableKeySet(owner: object, text: string): string | undefined {
  return usable.of(owner, () => readKeySet(text) ?? null) ?? undefined;
}

function readKeySet(text: string): string | undefined {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof set !== "object" || set === null) return undefined;
  const listed: unknown = Reflect.get(set, "keys");
  // A single key counts as a set of one.
  const keys = (Array.isArray(listed) ? (listed as readonly unknown[]) : [set]).flatMap(plainKey);
  return keys.some(isUsable) ? JSON.stringify({ keys }) : undefined;
}

type Key = Readonly<Record<string, unknown>>;

const members: ReadonlySet<string> = new Set(["kty", "kid", "alg", "use", "x", "y", "crv", "n", "e", "k"]);

/**
 * A key with only the members that proxies read. Envoy's parser is stricter than ours: it refuses a text with deep
 * nesting, huge numbers, duplicate members or lone surrogates, even if the keys are valid. A key whose id is not a
 * string is left out, because without its id it would verify tokens with any id.
 */
function plainKey(value: unknown): Key[] {
  if (typeof value !== "object" || value === null) return [];
  const key = value as Key;
  if (typeof (key["kid"] ?? "") !== "string") return [];
  const texts = Object.entries(key).flatMap(([member, text]) =>
    members.has(member) && typeof text === "string" && text !== "" ? [[member, text] as const] : [],
  );
  return texts.every(([, text]) => text.isWellFormed()) ? [Object.fromEntries(texts)] : [];
}

const rsaAlgorithms: readonly unknown[] = [undefined, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const secretAlgorithms: readonly unknown[] = [undefined, "HS256", "HS384", "HS512"];
const ed25519Bytes = 32;

function isUsable(key: Key): boolean {
  const { kty, crv, alg } = key;
  switch (kty) {
    case "RSA":
      return rsaAlgorithms.includes(alg) && isRsaKey(key);
    case "EC":
      return isPoint(key);
    case "OKP":
      return crv === "Ed25519" && (alg === undefined || alg === "EdDSA") && bytesOf(key, "x")?.length === ed25519Bytes;
    case "oct":
      return secretAlgorithms.includes(alg) && (bytesOf(key, "k")?.length ?? 0) > 0;
    default:
      return false;
  }
}

const minModulusBits = 512;
const maxModulusBits = 16_384;
const exponents: readonly unknown[] = [3n, 65_537n];

function isRsaKey(key: Key): boolean {
  const [modulus, exponent] = [numberOf(key, "n"), numberOf(key, "e")];
  return (
    modulus !== undefined &&
    exponents.includes(exponent) &&
    modulus % 2n === 1n &&
    bitsOf(modulus) >= minModulusBits &&
    bitsOf(modulus) <= maxModulusBits
  );
}

interface Curve {
  readonly algorithm: string;
  readonly prime: bigint;
  readonly b: bigint;
}

/** NIST's curves y² = x³ - 3x + b. */
const curves: Readonly<Record<string, Curve>> = {
  "P-256": {
    algorithm: "ES256",
    prime: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  "P-384": {
    algorithm: "ES384",
    prime: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
  "P-521": {
    algorithm: "ES512",
    prime: 2n ** 521n - 1n,
    b: 0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  },
};

/** Whether an elliptic curve key is a point of its curve. Envoy drops a key that is not. */
function isPoint(key: Key): boolean {
  const { alg } = key;
  const crv = key["crv"] ?? curveOf(alg);
  const curve = typeof crv === "string" && Object.hasOwn(curves, crv) ? curves[crv] : undefined;
  const [x, y] = [numberOf(key, "x"), numberOf(key, "y")];
  if (curve === undefined || x === undefined || y === undefined) return false;
  const { algorithm, prime, b } = curve;
  return (
    (alg === undefined || alg === algorithm) &&
    x < prime &&
    y < prime &&
    (y * y - (x * x * x - 3n * x + b)) % prime === 0n
  );
}

/** The curve of a key that names none is that of its algorithm, or else the first curve. */
function curveOf(alg: unknown): string {
  return Object.entries(curves).find(([, { algorithm }]) => algorithm === alg)?.[0] ?? "P-256";
}

const maxCharacters = 4096;

function bytesOf(key: Key, member: string): Buffer | undefined {
  const text = key[member];
  return typeof text === "string" && text.length <= maxCharacters && isBase64Url(text)
    ? Buffer.from(text, "base64url")
    : undefined;
}

/** Whether the text is base64url. Padding is optional. */
function isBase64Url(text: string): boolean {
  return /^[\w-]+$/.test(text) || (/^[\w-]+={1,2}$/.test(text) && text.length % 4 === 0);
}

function numberOf(key: Key, member: string): bigint | undefined {
  const bytes = bytesOf(key, member);
  return bytes === undefined || bytes.length === 0 ? undefined : BigInt(`0x${bytes.toString("hex")}`);
}

function bitsOf(value: bigint): number {
  return value.toString(2).length;
}
