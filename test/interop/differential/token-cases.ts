// Headers that are repeated, empty or odd, with policies and routes about headers. All kinds of tokens, with policies
// about claims.
import { createHmac, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../src/api/index.ts";
import { policy, type LaneConfig } from "./configuration.ts";
import { raw, type JudgedCase, type Suite } from "./judged-case.ts";

const get = (fields: string, target = "/a"): Buffer => raw(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);

const roleFields = [
  "",
  "x-role: admin",
  "x-role: user",
  "x-role:",
  "x-role: ADMIN",
  "X-ROLE: admin",
  "x-role:  admin  ",
  "x-role: admin;x",
  "x-role: admin,",
  "x-role: ,admin",
  "x-role: admin,user",
  "x-role: user,admin",
  "x-role: user, admin",
  "x-role: admin, user",
  "x-role: administrator",
  "x-role: my-admin",
  "x-role: admin\r\nx-role: admin",
  "x-role: admin\r\nx-role: user",
  "x-role: user\r\nx-role: admin",
  "x-role: admin\r\nx-role:",
  "x-role:\r\nx-role: admin",
  "x-role:\r\nx-role:",
  "x-role: user\r\nx-role: admin\r\nx-role: user",
  "x-role: my-admin\r\nx-role: user",
  "x-role: user\r\nx-role: administrator",
  "x-role: admin\r\nX-Role: x",
  "x_role: admin",
  "x-role: a\r\nx-role: dmin",
  "x-role: adm\xefn",
  "x-role: 5",
  "x-role: 5\r\nx-role: 6",
  "x-role: 15",
  "x-role: +5",
  "x-role: 5x",
  "x-role: 05",
  "x-role: -5",
  "Connection: x-role\r\nx-role: admin",
];

const headerPolicies: readonly { readonly name: string; readonly action: "ALLOW" | "DENY"; readonly when: object }[] = (
  ["DENY", "ALLOW"] as const
).flatMap((action) =>
  [["admin"], ["admin*"], ["*admin"], ["*"], ["user", "admin"]].flatMap((values, index) => [
    { name: `${action}-values-${index}`.toLowerCase(), action, when: { key: "request.headers[x-role]", values } },
    {
      name: `${action}-not-${index}`.toLowerCase(),
      action,
      when: { key: "request.headers[x-role]", notValues: values },
    },
  ]),
);

/** Matches of routes with a direct response, which shows whether the match applied. */
const headerMatches: readonly JsonObject[] = [
  { exactMatch: "admin" },
  { stringMatch: { exact: "admin" } },
  { stringMatch: { exact: "admin", ignoreCase: true } },
  { stringMatch: { prefix: "admin" } },
  { stringMatch: { suffix: "admin" } },
  { stringMatch: { contains: "admin" } },
  { stringMatch: { contains: "," } },
  { stringMatch: { safeRegex: { regex: "admin" } } },
  { stringMatch: { safeRegex: { regex: ".*admin.*" } } },
  { stringMatch: { exact: "" } },
  { stringMatch: { exact: "admin,user" } },
  { rangeMatch: { start: "5", end: "16" } },
  { presentMatch: true },
  { presentMatch: false },
  {},
];
const matchLanes: readonly LaneConfig[] = headerMatches.flatMap((match, index) =>
  [
    {},
    { invertMatch: true },
    { treatMissingHeaderAsEmpty: true },
    { invertMatch: true, treatMissingHeaderAsEmpty: true },
  ].map((more, kind) => ({
    name: `match-${index}-${kind}`,
    direction: "gateway" as const,
    routes: [
      {
        match: { prefix: "/", headers: [{ name: "x-role", ...match, ...more }] },
        directResponse: { status: 418 },
      },
    ],
  })),
);

const keys = new Map<string, { readonly privateKey: KeyObject; readonly publicKey: KeyObject }>();
keys.set("rsa", generateKeyPairSync("rsa", { modulusLength: 2048 }));
keys.set("ec", generateKeyPairSync("ec", { namedCurve: "P-256" }));
keys.set("other", generateKeyPairSync("rsa", { modulusLength: 2048 }));

const jwkOf = (name: string, kid: string, alg: string): object => ({
  ...keys.get(name)?.publicKey.export({ format: "jwk" }),
  kid,
  alg,
  use: "sig",
});
const jwks = JSON.stringify({ keys: [jwkOf("rsa", "one", "RS256"), jwkOf("ec", "two", "ES256")] });

const base64 = (text: string | Buffer): string => Buffer.from(text as string).toString("base64url");
const nowSeconds = Math.floor(Date.now() / 1000);
const claims = { iss: "issuer.test", sub: "joe", exp: nowSeconds + 86_400, group: "dev" };

interface TokenParts {
  readonly header?: string;
  readonly payload?: string;
  readonly key?: string;
}

/** Makes a token. Header and payload are texts, so that any JSON can be signed. */
function token({
  header = '{"alg":"RS256","kid":"one","typ":"JWT"}',
  payload = JSON.stringify(claims),
  key = "rsa",
}: TokenParts = {}): string {
  const signed = `${base64(raw(header))}.${base64(raw(payload))}`;
  const privateKey = keys.get(key)?.privateKey;
  if (privateKey === undefined) throw new Error(`no key ${key}`);
  const signature = sign(
    "sha256",
    Buffer.from(signed),
    key === "ec" ? { key: privateKey, dsaEncoding: "ieee-p1363" } : privateKey,
  );
  return `${signed}.${base64(signature)}`;
}

const claiming = (more: object): string => token({ payload: JSON.stringify({ ...claims, ...more }) });
const good = token();
const [goodHeader = "", goodPayload = "", goodSignature = ""] = good.split(".");

/** A token that is signed with the text of the public key, as if that were a shared secret. */
function confused(): string {
  const signed = `${base64('{"alg":"HS256","kid":"one"}')}.${goodPayload}`;
  const pem = createPublicKey(keys.get("rsa")?.publicKey.export({ type: "spki", format: "pem" }) as string).export({
    type: "spki",
    format: "pem",
  });
  return `${signed}.${createHmac("sha256", pem).update(signed).digest("base64url")}`;
}

const payloadTexts = [
  `{"iss":"issuer.test","iss":"evil.test","sub":"joe","group":"dev"}`,
  `{"iss":"evil.test","iss":"issuer.test","sub":"joe","group":"dev"}`,
  `{"iss":"issuer.test","sub":"joe","group":"dev","group":"admin"}`,
  `{"iss":"issuer.test","sub":"joe","group":"admin","group":"dev"}`,
  `{"iss":"issuer.test","sub":"a","sub":"joe"}`,
  `{"iss":"issuer.test","sub":"joe","exp":1,"exp":9999999999}`,
  `{"iss":"issuer.test","sub":"joe","exp":9999999999,"exp":1}`,
  `{"iss":"issuer.test","sub":"joe","nested":{"a":1,"a":2}}`,
  `{"iss":"issuer.test","sub":"joe","i\\u0073s":"evil.test"}`,
  `{"iss":"issuer.test","sub":"joe"} `,
  ` {"iss":"issuer.test","sub":"joe"}`,
  `{"iss":"issuer.test","sub":"joe"}x`,
  `{"iss":"issuer.test","sub":"joe"}{}`,
  `{"iss":"issuer.test","sub":"joe",}`,
  `{'iss':'issuer.test'}`,
  `{"iss":"issuer.test","sub":"joe"/**/}`,
  `[]`,
  `null`,
  `1`,
  `"x"`,
  ``,
  `{`,
  `{}`,
  `\xef\xbb\xbf{"iss":"issuer.test","sub":"joe"}`,
  `{"iss":"issuer.test","sub":"j\xffoe"}`,
  `{"iss":"issuer.test","sub":"j\\u0000oe"}`,
  `{"iss":"issuer.test","sub":"j\\ud800oe"}`,
  `{"iss":["issuer.test"],"sub":"joe"}`,
  `{"iss":1,"sub":"joe"}`,
  `{"iss":null,"sub":"joe"}`,
  `{"sub":"joe"}`,
  `{"iss":"issuer.test"}`,
  `{"iss":"issuer.test","sub":1}`,
  `{"iss":"issuer.test","sub":null}`,
  `{"iss":"issuer.test","sub":["joe"]}`,
  `{"iss":"ISSUER.TEST","sub":"joe"}`,
  `{"iss":"issuer.test ","sub":"joe"}`,
  `{"iss":"https://issuer.test","sub":"joe"}`,
  ...[
    "1",
    "0",
    "-1",
    "9999999999",
    "9999999999.5",
    "1e10",
    "1e30",
    "1e400",
    '"9999999999"',
    "null",
    "true",
    "{}",
    "[]",
    "[9999999999]",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "1.5",
    "-0",
    "1000000000000000000000000000000",
    String(nowSeconds - 30),
    String(nowSeconds - 90),
    "0x7fffffff",
    "099",
  ].flatMap((time) => [
    `{"iss":"issuer.test","sub":"joe","exp":${time}}`,
    `{"iss":"issuer.test","sub":"joe","nbf":${time}}`,
    `{"iss":"issuer.test","sub":"joe","iat":${time}}`,
  ]),
  ...[
    `"dev"`,
    `["dev"]`,
    `["a","dev"]`,
    `["dev",1]`,
    `[["dev"]]`,
    `"DEV"`,
    `"dev "`,
    `"a dev"`,
    `1`,
    `true`,
    `null`,
    `{}`,
    `{"dev":1}`,
    `[]`,
    `""`,
    `"dev,admin"`,
  ].map((group) => `{"iss":"issuer.test","sub":"joe","group":${group}}`),
  ...[
    `"aud.test"`,
    `["aud.test"]`,
    `["a","aud.test"]`,
    `"https://aud.test"`,
    `"aud.test/"`,
    `"other"`,
    `[]`,
    `null`,
    `1`,
    `["aud.test",1]`,
    `{"a":"aud.test"}`,
  ].map((aud) => `{"iss":"issuer.test","sub":"joe","group":"dev","aud":${aud}}`),
  `{"iss":"issuer.test","sub":"joe","__proto__":{"group":"dev"}}`,
  `{"iss":"issuer.test","sub":"joe","a":{"b":{"group":"dev"}}}`,
  `${"[".repeat(300)}${"]".repeat(300)}`,
  `{"iss":"issuer.test","sub":"joe","a":${"[".repeat(2000)}${"]".repeat(2000)}}`,
];
const headerTexts = [
  `{"alg":"RS256"}`,
  `{"alg":"RS256","kid":"two"}`,
  `{"alg":"RS256","kid":"none"}`,
  `{"alg":"RS256","kid":""}`,
  `{"alg":"RS256","kid":1}`,
  `{"alg":"RS256","kid":null}`,
  `{"alg":"RS256","kid":["one"]}`,
  `{"alg":"none"}`,
  `{"alg":"None","kid":"one"}`,
  `{"alg":"","kid":"one"}`,
  `{"alg":"rs256","kid":"one"}`,
  `{"alg":"RS512","kid":"one"}`,
  `{"alg":"PS256","kid":"one"}`,
  `{"alg":"HS256","kid":"one"}`,
  `{"alg":"ES256","kid":"one"}`,
  `{"alg":1}`,
  `{"alg":null}`,
  `{"alg":["RS256"]}`,
  `{"kid":"one"}`,
  `{}`,
  `[]`,
  `null`,
  ``,
  `{"alg":"RS256","alg":"none","kid":"one"}`,
  `{"alg":"none","alg":"RS256","kid":"one"}`,
  `{"alg":"RS256","kid":"one","kid":"two"}`,
  `{"alg":"RS256","kid":"one","crit":["exp"]}`,
  `{"alg":"RS256","kid":"one","crit":[]}`,
  `{"alg":"RS256","kid":"one","crit":["b64"],"b64":false}`,
  `{"alg":"RS256","kid":"one","b64":false}`,
  `{"alg":"RS256","kid":"one","typ":"JWE"}`,
  `{"alg":"RS256","kid":"one","cty":"JWT"}`,
  `{"alg":"RS256","kid":"one","zip":"DEF"}`,
  `{"alg":"RS256","kid":"one","jku":"http://evil"}`,
  `{"alg":"RS256","kid":"one","jwk":{}}`,
  `{"alg":"RS256","kid":"one"} `,
  `{"alg":"RS256","kid":"one"}x`,
];
const spelled = [
  good,
  token({ key: "other" }),
  token({ header: '{"alg":"ES256","kid":"two"}', key: "ec" }),
  token({ header: '{"alg":"ES256","kid":"one"}', key: "ec" }),
  token({ header: '{"alg":"ES256"}', key: "ec" }),
  confused(),
  `${goodHeader}.${goodPayload}.`,
  `${goodHeader}.${goodPayload}`,
  `${goodHeader}.${goodPayload}.${goodSignature}.x`,
  `${goodHeader}.${goodPayload}.${goodSignature}.`,
  `.${goodPayload}.${goodSignature}`,
  `${goodHeader}..${goodSignature}`,
  "..",
  "x",
  "",
  `${good}=`,
  `${good}==`,
  `${good}A`,
  `${good}AA`,
  `${good}!`,
  `${good},x`,
  `${good} x`,
  `${good};x`,
  `${good}\tx`,
  ` ${good}`,
  `"${good}"`,
  `${good}%20`,
  `${good}%00`,
  `${good}/`,
  `${good}+`,
  `${good}\xe9`,
  good.slice(0, -1),
  good.slice(0, -4),
  good.replace(".", ".."),
  good.replaceAll("-", "+").replaceAll("_", "/"),
  `${goodHeader}=.${goodPayload}.${goodSignature}`,
  `${goodHeader}.${goodPayload}=.${goodSignature}`,
  `${goodHeader}!.${goodPayload}.${goodSignature}`,
  `${goodHeader}.${goodPayload}!.${goodSignature}`,
  `${goodHeader} .${goodPayload}.${goodSignature}`,
  `${goodHeader}.${goodPayload}. ${goodSignature}`,
  `${goodHeader}.${goodPayload}.${goodSignature.slice(0, 100)}`,
  `${goodHeader}.${goodPayload}.${"A".repeat(342)}`,
  `${goodHeader}.${goodPayload}.${goodSignature.slice(0, -1)}${goodSignature.endsWith("A") ? "B" : "A"}`,
  claiming({ iss: "evil.test" }),
  claiming({ exp: 1 }),
  claiming({ group: "admin" }),
  claiming({ aud: "aud.test" }),
];
const schemes = [
  "Bearer ",
  "bearer ",
  "BEARER ",
  "Bearer  ",
  "Bearer\t",
  "Bearer",
  "Basic ",
  "",
  "x Bearer ",
  "Bearer Bearer ",
  "Token ",
  "JWT ",
  "Bearer: ",
];
const carried: readonly { readonly title: string; readonly fields: string; readonly target?: string }[] = [
  ...schemes.map((scheme) => ({
    title: `scheme ${JSON.stringify(scheme)}`,
    fields: `Authorization: ${scheme}${good}\r\n`,
  })),
  { title: "two, the first good", fields: `Authorization: Bearer ${good}\r\nAuthorization: Bearer x.y.z\r\n` },
  { title: "two, the second good", fields: `Authorization: Bearer x.y.z\r\nAuthorization: Bearer ${good}\r\n` },
  {
    title: "two good ones",
    fields: `Authorization: Bearer ${good}\r\nAuthorization: Bearer ${claiming({ group: "admin" })}\r\n`,
  },
  {
    title: "two good ones, turned",
    fields: `Authorization: Bearer ${claiming({ group: "admin" })}\r\nAuthorization: Bearer ${good}\r\n`,
  },
  { title: "two, the first Basic", fields: `Authorization: Basic eDp5\r\nAuthorization: Bearer ${good}\r\n` },
  { title: "two, the second Basic", fields: `Authorization: Bearer ${good}\r\nAuthorization: Basic eDp5\r\n` },
  { title: "two, the first empty", fields: `Authorization:\r\nAuthorization: Bearer ${good}\r\n` },
  { title: "two, the second empty", fields: `Authorization: Bearer ${good}\r\nAuthorization:\r\n` },
  { title: "two in one field", fields: `Authorization: Bearer ${good}, Bearer x.y.z\r\n` },
  { title: "in the query", fields: "", target: `/a?access_token=${good}` },
  { title: "in the query twice", fields: "", target: `/a?access_token=${good}&access_token=x.y.z` },
  { title: "in the query twice, turned", fields: "", target: `/a?access_token=x.y.z&access_token=${good}` },
  {
    title: "in the query, a bad one, and a good header",
    fields: `Authorization: Bearer ${good}\r\n`,
    target: "/a?access_token=x.y.z",
  },
  {
    title: "in the query, and a bad header",
    fields: `Authorization: Bearer x.y.z\r\n`,
    target: `/a?access_token=${good}`,
  },
  { title: "in the query under another name", fields: "", target: `/a?Access_Token=${good}` },
  { title: "in the query, encoded", fields: "", target: `/a?access%5Ftoken=${good}` },
  { title: "in a cookie", fields: `Cookie: access_token=${good}\r\n` },
  { title: "nothing", fields: "" },
  { title: "an empty field", fields: "Authorization:\r\n" },
  { title: "a preflight without a token", fields: "Origin: http://x\r\nAccess-Control-Request-Method: GET\r\n" },
  { title: "named by Connection", fields: `Connection: authorization\r\nAuthorization: Bearer ${good}\r\n` },
  { title: "claims' own header sent by the client", fields: `Authorization: Bearer ${good}\r\nx-group: admin\r\n` },
  { title: "claims' own header without a token", fields: "x-group: admin\r\n" },
];

const authentication = policy("RequestAuthentication", "tokens", {
  jwtRules: [
    {
      issuer: "issuer.test",
      jwks,
      outputClaimToHeaders: [{ header: "x-group", claim: "group" }],
      outputPayloadToHeader: "x-payload",
    },
  ],
});
const claimPolicy = (action: "ALLOW" | "DENY", rule: object): KubernetesObject =>
  policy("AuthorizationPolicy", "claims", { action, rules: [rule] });
const tokenLanes: readonly LaneConfig[] = [
  { name: "token-any", direction: "inbound", objects: [authentication] },
  {
    name: "token-needed",
    direction: "inbound",
    objects: [authentication, claimPolicy("ALLOW", { from: [{ source: { requestPrincipals: ["issuer.test/joe"] } }] })],
  },
  {
    name: "token-denied",
    direction: "inbound",
    objects: [authentication, claimPolicy("DENY", { from: [{ source: { notRequestPrincipals: ["*"] } }] })],
  },
  {
    name: "claim-allowed",
    direction: "inbound",
    objects: [authentication, claimPolicy("ALLOW", { when: [{ key: "request.auth.claims[group]", values: ["dev"] }] })],
  },
  {
    name: "claim-denied",
    direction: "inbound",
    objects: [
      authentication,
      claimPolicy("DENY", { when: [{ key: "request.auth.claims[group]", values: ["admin"] }] }),
    ],
  },
  {
    name: "audience",
    direction: "inbound",
    objects: [
      policy("RequestAuthentication", "tokens", {
        jwtRules: [{ issuer: "issuer.test", jwks, audiences: ["aud.test"] }],
      }),
    ],
  },
  {
    name: "from-header",
    direction: "gateway",
    objects: [
      policy("RequestAuthentication", "tokens", {
        jwtRules: [
          {
            issuer: "issuer.test",
            jwks,
            forwardOriginalToken: true,
            fromHeaders: [
              { name: "x-jwt", prefix: "Bearer " },
              { name: "authorization", prefix: "Bearer " },
            ],
            fromParams: ["access_token"],
          },
        ],
      }),
    ],
  },
];

export function tokenSuite(): Suite {
  const headerLanes = headerPolicies.map(({ name, action, when }): LaneConfig => ({
    name,
    direction: "inbound",
    objects: [policy("AuthorizationPolicy", "headers", { action, rules: [{ when: [when] }] })],
  }));
  const lanes = [...headerLanes, ...matchLanes, ...tokenLanes];
  const byField = [...headerLanes, ...matchLanes].flatMap(({ name }) =>
    roleFields.map((fields): JudgedCase => ({
      title: JSON.stringify(fields),
      lane: name,
      send: { protocol: "http1", probes: false, bytes: get(fields === "" ? "" : `${fields}\r\n`) },
    })),
  );
  const tokens = [
    ...spelled.map((text) => ({
      title: `token ${JSON.stringify(text.length > 60 ? `…${text.slice(-40)}` : text)}`,
      text,
    })),
    ...payloadTexts.map((payload) => ({
      title: `payload ${JSON.stringify(payload.slice(0, 200))}`,
      text: token({ payload }),
    })),
    ...headerTexts.map((header) => ({ title: `header ${JSON.stringify(header)}`, text: token({ header }) })),
  ];
  const byToken = tokenLanes.flatMap(({ name }) => [
    ...tokens.map(({ title, text }): JudgedCase => ({
      title,
      lane: name,
      send: { protocol: "http1", probes: false, bytes: get(`Authorization: Bearer ${text}\r\n`) },
    })),
    ...carried.map(({ title, fields, target }): JudgedCase => ({
      title,
      lane: name,
      send: { protocol: "http1", probes: false, bytes: get(fields, target) },
    })),
  ]);
  return { name: "tokens", least: 500, lanes, cases: [...byField, ...byToken] };
}
