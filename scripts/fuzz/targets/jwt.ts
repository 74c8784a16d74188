import { SignJWT, createLocalJWKSet } from "jose";
import { JwtProvider, parseToken, type JwtProviderOptions } from "../../../src/proxy/filters/jwt/jwt-provider.ts";
import { systemClock } from "../../../src/base/index.ts";
import { expect, type FuzzTarget } from "../target.ts";

const key = Buffer.alloc(32, 7);
const find = createLocalJWKSet({ keys: [{ kty: "oct", k: key.toString("base64url"), alg: "HS256", kid: "a" }] });
const sign = async (claims: Record<string, unknown>, header: Record<string, unknown> = {}): Promise<string> =>
  await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "a", ...header }).sign(key);
const good = [
  await sign({ iss: "me", sub: "a", aud: ["x", "https://y/"], exp: 4e9 }),
  await sign({ iss: "me", nbf: 1, iat: 1, scope: "a b", nested: { x: [1] } }, { typ: "JWT" }),
];
const options = {
  name: "p",
  issuer: "me",
  audiences: [],
  subjects: undefined,
  requiresExpiration: false,
  maxLifetimeSeconds: undefined,
  clockSkewSeconds: 60,
  jwks: { keys: async () => await Promise.resolve({ find }) },
} as unknown as JwtProviderOptions;
const provider = new JwtProvider(options, systemClock);
const signed = new Set(good.map((token) => token.split(".").slice(0, 2).join(".")));

/**
 * Encodes a token whose three parts are plain text in the input. A mutation of the base64 text itself would seldom
 * result in a readable token.
 */
function encoded(text: string): string {
  return text
    .split("\n")
    .map((part) => Buffer.from(part, "latin1").toString("base64url"))
    .join(".");
}

async function check(text: string): Promise<void> {
  const token = parseToken(text);
  if (!("claims" in token)) return;
  for (const name of ["exp", "nbf", "iat"]) {
    const time = token.claims[name];
    expect(time === undefined || (typeof time === "number" && time >= 0), "a time that is no number is refused");
  }
  const problem = await provider.check(token);
  if (problem === undefined) expect(signed.has(text.split(".").slice(0, 2).join(".")), "what nobody signed is refused");
}

export const target: FuzzTarget = {
  title: "JSON Web Tokens",
  seeds: [
    ...good,
    '{"alg":"HS256","kid":"a"}\n{"iss":"me","exp":4000000000}\nsignature',
    '{"alg":"none"}\n{"iss":"me","aud":["a"],"a":{"b":{"a":1}}}\n',
    '{"alg":"HS256","crit":["b64"],"b64":false}\n{"iss":"me"}\n',
  ],
  words: [
    "none",
    "HS256",
    "RS256",
    "jku",
    "jwk",
    "crit",
    '"b64":false',
    "1e400",
    "\\ud800",
    "eyJhbGciOiJub25lIn0",
    ".",
  ],
  run: async (input) => {
    const text = input.toString("latin1");
    await check(text);
    await check(encoded(text));
  },
};
