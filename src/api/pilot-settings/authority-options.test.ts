import assert from "node:assert/strict";
import { test } from "node:test";
import { readAuthoritySettings } from "./authority-options.ts";

const dayMs = 86_400_000;

test("without settings, the values are upstream's", () => {
  assert.deepEqual(readAuthoritySettings({}), {
    lifetimes: { defaultSeconds: 86_400, maxSeconds: 90 * 86_400 },
    selfSigned: { lifetimeMs: 3650 * dayMs, rsaKeyBits: 2048, gracePercent: 20, inCacerts: false },
    checkIntervalMs: 3_600_000,
    audiences: ["istio-ca"],
    trustOverXds: false,
    clusterTrustBundle: false,
    rootConfigMap: "istio-ca-root-cert",
    revocationConfigMap: "istio-ca-crl",
  });
});

test("upstream's variables are read, with durations in Go's form", () => {
  const settings = readAuthoritySettings({
    DEFAULT_WORKLOAD_CERT_TTL: "1h30m",
    MAX_WORKLOAD_CERT_TTL: "2h",
    CITADEL_SELF_SIGNED_CA_CERT_TTL: "240h",
    CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL: "0",
    CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE: "4096",
    USE_CACERTS_FOR_SELF_SIGNED_CA: "true",
    TOKEN_AUDIENCES: "istio-ca, mesh",
    PILOT_ENABLE_CA_CRL: "false",
  });
  assert.deepEqual(settings.lifetimes, { defaultSeconds: 5400, maxSeconds: 7200 });
  assert.deepEqual(settings.selfSigned, {
    lifetimeMs: 10 * dayMs,
    rsaKeyBits: 4096,
    gracePercent: undefined,
    inCacerts: true,
  });
  assert.deepEqual([settings.audiences, settings.revocationConfigMap], [["istio-ca", "mesh"], undefined]);
});

test("an unusable setting is refused, and the error names it", () => {
  const refusals: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ DEFAULT_WORKLOAD_CERT_TTL: "1 day" }, /DEFAULT_WORKLOAD_CERT_TTL must be a duration such as 24h/],
    [{ MAX_WORKLOAD_CERT_TTL: "-1h" }, /MAX_WORKLOAD_CERT_TTL.* must be longer than 0/],
    [{ CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE: "1024" }, /CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE.* one of 2048, 3072, 4096/],
    [
      { CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE: "120" },
      /CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE.* from 0 to 99/,
    ],
    [{ TOKEN_AUDIENCES: " ," }, /TOKEN_AUDIENCES=" ," names no audience/],
    [{ EXTERNAL_CA: "ISTIOD_RA_KUBERNETES_API" }, /EXTERNAL_CA="ISTIOD_RA_KUBERNETES_API" is not supported/],
  ];
  for (const [env, expected] of refusals) assert.throws(() => readAuthoritySettings(env), expected);
});
