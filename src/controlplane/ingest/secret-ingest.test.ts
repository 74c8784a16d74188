import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { secretKind } from "../../api/kubernetes/index.ts";
import { createLogger, silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { TestAuthority } from "../../net/testing/index.ts";
import { derOfPem, DerReader, pemOf } from "../../x509/index.ts";
import { createSelfSignedAuthority } from "../ca/index.ts";
import { secretReferences, type SecretFacts, type SecretReference } from "../model/secret-facts.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { secretFacts } from "./secret-facts.ts";
import { SecretIngest } from "./secret-ingest.ts";

const encode = (data: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
const secret = (name: string, data: Readonly<Record<string, string>>) => ({
  metadata: { namespace: "edge", name },
  data: encode(data),
});
/** A certificate with its key, in the encoding in which the control plane sends them. */
async function pairFor(dns: string) {
  const { certificateChain, privateKey } = await (await TestAuthority.create()).issue({ dns });
  return {
    certificate: new X509Certificate(certificateChain).toString(),
    privateKey: createPrivateKey(privateKey).export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

const one = await pairFor("one");
const two = await pairFor("two");
/** A certificate whose subject has an organization but no common name, and that has no alternative name. */
const nameless = await createSelfSignedAuthority("nameless", systemClock);

test("a secret is read under the keys of either type, and the error names its faults", () => {
  const faultOf = (part: SecretFacts["keyPair"] | SecretFacts["authority"]): string =>
    "fault" in part ? part.fault : "";
  const pair = { "tls.crt": one.certificate, "tls.key": one.privateKey };
  assert.ok("value" in secretFacts(secret("tls", pair)).keyPair);
  const generic = secretFacts(
    secret("generic", { cert: one.certificate, key: one.privateKey, cacert: two.certificate, ...pair, crl: "list" }),
  );
  assert.ok("value" in generic.authority && generic.authority.value.revocations === "no revocation list\n");
  assert.equal(
    faultOf(secretFacts(secret("x", { other: "1" })).keyPair),
    "it must have the keys cert and key, or tls.crt and tls.key; it has other",
  );
  assert.equal(
    faultOf(secretFacts(secret("x", { ...pair, "tls.crt": "nonsense" })).keyPair),
    "tls.crt has no certificate in PEM",
  );
  assert.equal(
    faultOf(secretFacts(secret("x", { ...pair, "tls.key": two.privateKey })).keyPair),
    "tls.key is not the key of the certificate in tls.crt",
  );
  assert.match(
    faultOf(secretFacts(secret("x", { ...pair, "tls.key": "nonsense" })).keyPair),
    /^tls.key has no private key in PEM/,
  );
  assert.equal(
    faultOf(secretFacts(secret("x", pair)).authority),
    "it must have the key cacert or ca.crt; it has tls.crt, tls.key",
  );
});

/** A certificate with a key on secp256k1, made for this test. */
const rareCertificate = `-----BEGIN CERTIFICATE-----
MIIBaTCCARCgAwIBAgIUFpCBVLAwLDlHkGv9T1u8W7A95SQwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjgwNzAxMDVaFw0yNzAzMDgwNzAxMDVaMAwx
CjAIBgNVBAMMAXgwVjAQBgcqhkjOPQIBBgUrgQQACgNCAATcCiwlFGs2wby+rupn
sR3niJrYpT1MvoklgYujIX2FiVUsCUZxD15NcETesDKo/WKIq33gKaqB2voEjzny
W/ruo1MwUTAdBgNVHQ4EFgQUTBjCJVO19mTa5ItnTHnqiZGtDcMwHwYDVR0jBBgw
FoAUTBjCJVO19mTa5ItnTHnqiZGtDcMwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjO
PQQDAgNHADBEAiAXrtYGVvAZZn5+/7jQ0FRiEzsKkwNfpMIECQSI6Ju8ugIgFi78
MTg0asP7wuWQtlsNawHw9GBE+mKrFnbsr1m7pwA=
-----END CERTIFICATE-----
`;
const rareKey = `-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIOdvQH+eMWQ3HrEmyG8EX1YRTo1j7Dpidimdo79ngXrdoAcGBSuBBAAK
oUQDQgAE3AosJRRrNsG8vq7qZ7Ed54ia2KU9TL6JJYGLoyF9hYlVLAlGcQ9eTXBE
3rAyqP1iiKt94Cmqgdr6BI858lv67g==
-----END EC PRIVATE KEY-----
`;
const revocations = `-----BEGIN X509 CRL-----
MIIBZDBOAgEBMA0GCSqGSIb3DQEBCwUAMAwxCjAIBgNVBAMMAXgXDTI2MTEyODA3
MDEwNVoXDTI2MTIyODA3MDEwNVqgDjAMMAoGA1UdFAQDAgEBMA0GCSqGSIb3DQEB
CwUAA4IBAQCwQzSakkK5aa9Ytnj0Ky2vOr6DMz/2rwpeUFoCZggvo+jYraeQDTgG
XQZqh5ny5bh0G/s6LnDUZHJ2938AoSj9nl1eUAWxvIQs5Zkr7OP0hmGJeEhNlgSP
Sl4esdF9OLpC374xKATSdf2SwnuuXYKIwfjpObSqleibPt9nMWxjPuJasHKZCQsb
RdPBS0hE+FJUfFVT1FkSDXPCoWUvkkUkGI1f5RPNOs87QZtTFhH39nDDVAX6zQou
oPtI6Q3dpG5XnfaL7wrYNHhYMXvslv1rY/QQqbRp5ZcJDeUwJ6Y5/Ya1fCSAw4Nh
aT1HYtYF+FivVe6oPWB0pxyR4AXxVYnb
-----END X509 CRL-----
`;

/** The subject `O=acme + CN=client`, one name with two values. */
const severalValues = {
  certificate: `-----BEGIN CERTIFICATE-----
MIIBkzCCATmgAwIBAgIUCRXwnYcs+n2QoIRvivuFZtQJiuUwCgYIKoZIzj0EAwIw
HjEcMAsGA1UECgwEYWNtZTANBgNVBAMMBmNsaWVudDAgFw0yNjExMjgwODIzMjRa
GA8yMTI2MTEwNDA4MjMyNFowHjEcMAsGA1UECgwEYWNtZTANBgNVBAMMBmNsaWVu
dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKudr7c1luSJ6o9sPwStIGPEXXyN
3siDGyBAzHNIaHEuiWITrvpg4YsfREASRwPr4s7Vv6sbg16R0/yXYMrQGQmjUzBR
MB0GA1UdDgQWBBQ8H9IuY5i9w0nxEWXhe0Evn37d7TAfBgNVHSMEGDAWgBQ8H9Iu
Y5i9w0nxEWXhe0Evn37d7TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA
MEUCIQDbIs04RmhywbN9FTDDPx83vgOziaEMN7HAnfRf3UBzeAIgFIsSso7Apij1
1/JM7sTCovKZFZVZWuCZ7LI4GDgF++o=
-----END CERTIFICATE-----
`,
  privateKey: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxyAALHFx8HjQ8393
cfSE96YpqNQoGGHkKbGRT8Fa47ShRANCAASrna+3NZbkieqPbD8ErSBjxF18jd7I
gxsgQMxzSGhxLoliE676YOGLH0RAEkcD6+LO1b+rG4NekdP8l2DK0BkJ
-----END PRIVATE KEY-----
`,
};

/** A root with the trust setting that it is for clients, as `openssl x509 -trustout` writes it. */
const trustedRoot = `-----BEGIN TRUSTED CERTIFICATE-----
MIIBbjCCAROgAwIBAgIUa981ICuWG1QibrV2jY0Emn3l0hUwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjgwNzQwMDVaFw0yNjEyMjgwNzQwMDVaMAwx
CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARdsDTQSWuhj3dp
8wUuAEW3ZW1yuhP8mSBwaOe2rrFHubcpOxbFeqygKVCebOIk0LM8e3aQhXK0omj1
vTAIGeoWo1MwUTAdBgNVHQ4EFgQUQqPoZZDk9GDDYL9VgVhc5fPYuvAwHwYDVR0j
BBgwFoAUQqPoZZDk9GDDYL9VgVhc5fPYuvAwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNJADBGAiEAqYtJ9R3pH/qo65uM1CuP8mmYMR1rbaWBmTVlkpGlnzkC
IQCoCKdRmGMH9BBgoq4O+vYJzRmYyqo/DA/LZI7ZMz0kjjAMMAoGCCsGAQUFBwMC
-----END TRUSTED CERTIFICATE-----
`;
/** A certificate with the TLS feature `status_request`, made for this test. */
const stapledCertificate = `-----BEGIN CERTIFICATE-----
MIIBgTCCASagAwIBAgIUL8z4o02na3mLkcGb4wLxTTtogpcwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjgwNzQwMTBaFw0yNjEyMjgwNzQwMTBaMAwx
CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQhOoi1nbHjY8a2
Gk0OrGjY+jVO1z0y1pXE7AyrtmwNXAFveEodhP+HG3nfxlRtZNWLk8bimmdXWxiI
xMPAD29wo2YwZDAdBgNVHQ4EFgQUwTN4iHEbESVniPzdyxQfQarXcDMwHwYDVR0j
BBgwFoAUwTN4iHEbESVniPzdyxQfQarXcDMwDwYDVR0TAQH/BAUwAwEB/zARBggr
BgEFBQcBGAQFMAMCAQUwCgYIKoZIzj0EAwIDSQAwRgIhAPLcWcqCxRv4RVNzW/gB
+QgzgMZzv0NSQoo3oEa92HqkAiEAmqoSBktkmpPB+SPVa/3oM5GkU29nHm4FVZND
pO57A5M=
-----END CERTIFICATE-----
`;
const stapledKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQy0z1F8M75iicNUA
e0A8/SuRkzs+z7tYdOrLVUQkxxWhRANCAAQhOoi1nbHjY8a2Gk0OrGjY+jVO1z0y
1pXE7AyrtmwNXAFveEodhP+HG3nfxlRtZNWLk8bimmdXWxiIxMPAD29w
-----END PRIVATE KEY-----
`;

test("a key, certificate or revocation list that an Envoy would reject is a fault", () => {
  const pair = { "tls.crt": one.certificate, "tls.key": one.privateKey };
  const broken = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  const keyPair = (data: object): unknown => secretFacts(secret("x", { ...pair, ...data })).keyPair;
  const authority = (data: object): unknown =>
    secretFacts(secret("x", { "ca.crt": one.certificate, ...data })).authority;
  assert.deepEqual(keyPair({ "tls.crt": rareCertificate, "tls.key": rareKey }), {
    fault:
      "tls.key has a key that Envoys reject (ECDSA on secp256k1): use RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519",
  });
  assert.deepEqual(keyPair({ "tls.crt": `${one.certificate}\n-----BEGIN CERTIFICATE-----\nAA` }), {
    fault: "tls.crt has a certificate without an end",
  });
  assert.deepEqual(authority({ "ca.crl": revocations }), { value: { certificates: one.certificate, revocations } });
  for (const list of [broken, revocations + broken])
    assert.match(JSON.stringify(authority({ "ca.crl": list })), /ca\.crl contains something that is not a revocation/);
  assert.deepEqual(authority({ "ca.crl": "-----BEGIN X509 CRL-----\nAA" }), {
    fault: "ca.crl has a revocation list without an end",
  });
});

test("a secret is sent as the blocks that were read, and nothing else of its texts", () => {
  const pair = { "tls.crt": one.certificate, "tls.key": one.privateKey };
  const old = (text: string): string => text.replaceAll(" CERTIFICATE-", " X509 CERTIFICATE-");
  const open = "-----BEGIN FOO-----\nAAAA\n";
  const junk = "-----BEGIN FOO-----\n!!!!\n-----END BAR-----\n";
  const closed = "-----BEGIN FOO-----\n!!!!\n-----END FOO-----\n";
  const brokenKey = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
  const brokenCertificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const keyPair = (data: object): unknown => secretFacts(secret("x", { ...pair, ...data })).keyPair;
  const authority = (data: object): unknown =>
    secretFacts(secret("x", { "ca.crt": one.certificate, ...data })).authority;
  const expected = keyPair({});
  assert.deepEqual(expected, { value: { certificateChain: one.certificate, privateKey: one.privateKey } });
  for (const added of [open, junk, closed, brokenKey, `${open}a\u0000`]) {
    assert.deepEqual(keyPair({ "tls.crt": one.certificate + added }), expected);
    assert.deepEqual(keyPair({ "tls.crt": added + one.certificate }), expected);
    assert.deepEqual(keyPair({ "tls.key": one.privateKey + added }), expected);
    assert.deepEqual(authority({ "ca.crt": one.certificate + added }), { value: { certificates: one.certificate } });
    assert.deepEqual(authority({ "ca.crl": revocations + added }), {
      value: { certificates: one.certificate, revocations },
    });
  }
  assert.deepEqual(
    keyPair({ "tls.crt": one.certificate + brokenCertificate.replaceAll(" C", " TRUSTED C") }),
    expected,
  );
  for (const added of [open, junk, closed]) assert.deepEqual(keyPair({ "tls.key": added + one.privateKey }), expected);
  assert.deepEqual(authority({ "ca.crl": revocations + brokenCertificate }), {
    value: { certificates: one.certificate, revocations },
  });
  assert.deepEqual(keyPair({ "tls.crt": old(one.certificate).replaceAll("\n", "\r\n") }), expected);
  // Envoys apply a revocation list among the roots.
  assert.deepEqual(authority({ "ca.crt": revocations + old(one.certificate) }), {
    value: { certificates: one.certificate + revocations },
  });
});

test("a fault in a block that is sent is a fault of the secret", () => {
  const authority = (text: string): string => JSON.stringify(secretFacts(secret("x", { "ca.crt": text })).authority);
  for (const label of ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CRL"]) {
    const added = `-----BEGIN ${label}-----\nAAAA\n`;
    assert.match(authority(one.certificate + added), /ca\.crt has a (certificate|revocation list) without an end/);
    assert.match(
      authority(`${one.certificate}${added}-----END ${label}-----\n`),
      /ca\.crt contains something that is not a (certificate|revocation list)/,
    );
  }
});

/** Variants of the DER. In each, the length of another element is encoded with more bytes than necessary. */
function loosened(der: Buffer): Buffer[] {
  let at = 0;
  const copy = (bytes: Buffer, target: number): Buffer => {
    const out: Uint8Array[] = [];
    for (const reader = new DerReader(bytes); !reader.isAtEnd;) {
      const { tag, contents } = reader.next();
      const isTarget = at === target;
      at += 1;
      const inner = (tag & 0x20) === 0 ? contents : copy(contents, target);
      const [high, low] = [inner.length >> 8, inner.length & 0xff];
      const length = isTarget
        ? [0x83, 0, high, low]
        : inner.length < 128
          ? [low]
          : high === 0
            ? [0x81, low]
            : [0x82, high, low];
      out.push(Buffer.from([tag, ...length]), inner);
    }
    return Buffer.concat(out);
  };
  assert.deepEqual(copy(der, -1), der);
  const count = at;
  return Array.from({ length: count }, (_, target) => {
    at = 0;
    return copy(der, target);
  });
}

test("a length that is no DER is a fault, wherever it is in a certificate or revocation list", () => {
  const chains = loosened(new X509Certificate(one.certificate).raw).map((der) => pemOf("CERTIFICATE", der));
  const lists = loosened(derOfPem(revocations, /CRL/) ?? Buffer.alloc(0)).map((der) => pemOf("X509 CRL", der));
  assert.ok(chains.length > 30 && lists.length > 10);
  for (const [index, chain] of chains.entries()) {
    const { keyPair } = secretFacts(secret("x", { "tls.crt": chain, "tls.key": one.privateKey }));
    // OpenSSL itself encodes the outermost element and the signature's algorithm again, so variants of these two are
    // sent in the shortest form.
    if ("value" in keyPair) assert.equal(keyPair.value.certificateChain, one.certificate, `element ${index}`);
  }
  for (const [index, list] of lists.entries()) {
    const { authority } = secretFacts(secret("x", { "ca.crt": one.certificate, "ca.crl": list }));
    assert.ok("fault" in authority, `element ${index} of the list`);
  }
});

test("a root keeps its trust settings", () => {
  assert.deepEqual(secretFacts(secret("x", { "ca.crt": `text\n${trustedRoot}` })).authority, {
    value: { certificates: trustedRoot },
  });
});

const element = (tag: string, contents: string): string => {
  const length = contents.length / 2;
  const bytes = (length + 0x1_00_00).toString(16).slice(1);
  const prefix = length < 0x80 ? bytes.slice(2) : length < 0x1_00 ? `81${bytes.slice(2)}` : `82${bytes}`;
  return `${tag}${prefix}${contents}`;
};
const goodTime = "20260101000000Z";
const stapleOf = (
  serial: string,
  {
    status = "00",
    count = 1,
    at = goodTime,
    next = "",
  }: { status?: string; count?: number; at?: string; next?: string } = {},
): string => {
  const identity = element("30", element("30", "") + element("04", "00") + element("04", "00") + element("02", serial));
  const time = (text: string): string => element("18", Buffer.from(text).toString("hex"));
  const single = element(
    "30",
    identity + element("80", "") + time(at) + (next === "" ? "" : element("a0", time(next))),
  );
  const data = element("30", element("a2", element("04", "00")) + time(goodTime) + element("30", single.repeat(count)));
  const basic = element("30", data + element("30", "") + element("03", "00"));
  const bytes = element("30", element("06", "2b0601050507300101") + element("04", basic));
  return Buffer.from(element("30", element("0a", status) + element("a0", bytes)), "hex").toString("base64");
};
/** The shortest encoding of a certificate's serial number. */
const serialOf = (certificate: string): string => {
  const { serialNumber } = new X509Certificate(certificate);
  return Number.parseInt(serialNumber.slice(0, 2), 16) < 0x80 ? serialNumber : `00${serialNumber}`;
};
const readPair = (
  staple: string,
  [certificate, key]: readonly [string, string] = [one.certificate, one.privateKey],
): SecretFacts["keyPair"] => {
  const { metadata, data } = secret("x", { "tls.crt": certificate, "tls.key": key });
  return secretFacts({ metadata, data: { ...data, "tls.ocsp-staple": staple } }).keyPair;
};

test("a key of another algorithm is refused before OpenSSL computes its public key, whatever its label says", () => {
  // Parameters of a DSA key that OpenSSL would need a second to read. It would need a minute for numbers four times as
  // long.
  const number = (byte: string, count: number): string => element("02", `00${byte.repeat(count)}`);
  const parameters = element("30", number("ff", 2048) + number("ff", 32) + number("02", 1));
  const dsa = element("30", element("06", "2a8648ce380401") + parameters);
  const der = Buffer.from(element("30", number("", 1) + dsa + element("04", number("fe", 2048))), "hex");
  for (const label of ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"]) {
    const before = process.cpuUsage();
    const { keyPair } = secretFacts(secret("x", { "tls.crt": one.certificate, "tls.key": pemOf(label, der) }));
    const { user } = process.cpuUsage(before);
    assert.match(
      "fault" in keyPair ? keyPair.fault : "",
      /^tls\.key has (a key that Envoys reject \(neither RSA, ECDSA nor Ed25519\)|no private key in PEM)/,
    );
    assert.ok(user < 300_000, `${label}: ${user} µs`);
  }
});

test("a key is read in each of its forms", () => {
  const key = createPrivateKey(one.privateKey);
  const forms =
    key.asymmetricKeyType === "ec"
      ? [key.export({ type: "sec1", format: "pem" }), key.export({ type: "pkcs8", format: "pem" })]
      : [key.export({ type: "pkcs1", format: "pem" }), key.export({ type: "pkcs8", format: "pem" })];
  for (const form of forms)
    assert.deepEqual(
      secretFacts(secret("x", { "tls.crt": one.certificate, "tls.key": `text\n${form.toString()}` })).keyPair,
      { value: { certificateChain: one.certificate, privateKey: one.privateKey } },
    );
});

test("a staple that an Envoy would reject is left out", () => {
  const read = (staple: string): unknown => {
    const keyPair = readPair(staple);
    return "value" in keyPair ? (keyPair.value.ocspStaple ?? keyPair.value.stapleFault) : keyPair.fault;
  };
  const serial = serialOf(one.certificate);
  for (const good of [stapleOf(serial), stapleOf(serial, { next: "20280229235959Z" })]) assert.equal(read(good), good);
  const fault = "tls.ocsp-staple is no usable response of OCSP: ";
  assert.equal(read(stapleOf("7f")), `${fault}it is about another certificate`);
  assert.equal(read(stapleOf(serial, { status: "06" })), `${fault}it has the status of a failed request`);
  assert.equal(read(stapleOf(serial, { count: 2 })), `${fault}it is about several certificates`);
  assert.equal(read("AAAA"), `${fault}has the tag 0x0 where 0x30 was expected`);
  for (const time of ["20261301000000Z", "20260231000000Z", "20260101240000Z", "20260101000099Z", "20260101000000"]) {
    assert.equal(read(stapleOf(serial, { at: time })), `${fault}it has the time "${time}"`);
    assert.equal(read(stapleOf(serial, { next: time })), `${fault}it has the time "${time}"`);
  }
  for (const encoding of [`00${serial.startsWith("00") ? serial : `00${serial}`}`, "", "80"])
    assert.equal(read(stapleOf(encoding)), `${fault}it has a serial number in an encoding that Envoys reject`);
  const long = Buffer.from(stapleOf(serial), "base64").toString("hex").replace(/^30/, "3081");
  assert.equal(
    read(Buffer.from(long, "hex").toString("base64")),
    `${fault}has a length that is not as short as possible`,
  );
});

test("a server cannot present a certificate without a name, and a client can", () => {
  const faultOf = ({ certificate, privateKey }: typeof one): string | undefined => {
    const { keyPair } = secretFacts(secret("x", { "tls.crt": certificate, "tls.key": privateKey }));
    return "fault" in keyPair ? keyPair.fault : keyPair.value.serverFault;
  };
  assert.equal(
    faultOf(nameless),
    "tls.crt has neither a common name nor a subject alternative name of type DNS, URI or IP: use a certificate with the names of its server",
  );
  assert.equal(faultOf(one), undefined);
  assert.equal(faultOf(severalValues), undefined, "a name with several values");
});

test("a server cannot present a certificate that requires a staple without a usable one", () => {
  const pair = [stapledCertificate, stapledKey] as const;
  const good = stapleOf(serialOf(stapledCertificate));
  assert.deepEqual(readPair(good, pair), {
    value: { certificateChain: stapledCertificate, privateKey: stapledKey, ocspStaple: good },
  });
  assert.match(
    JSON.stringify(readPair("", pair)),
    /"serverFault":"tls\.crt requires a staple .* it has no tls\.ocsp-staple\. Add/,
  );
  assert.match(
    JSON.stringify(readPair(stapleOf("7f"), pair)),
    /"serverFault":"tls\.crt requires a staple .* it is about another certificate\. Add/,
  );
});

test("a staple that is left out is logged for those who ask for the certificate, and not for the roots beside it", async () => {
  const graph = new CollectionGraph();
  const references = graph.source<SecretReference>("references");
  const secrets = graph.source<SecretFacts>("secrets");
  const lines: string[] = [];
  const log = createLogger({ scope: "pilot", level: "info", write: (line) => void lines.push(line) });
  const client = new FakeKubeClient();
  for (const name of ["pair", "roots"])
    client.put(
      secretKind,
      secret(name, {
        "tls.crt": one.certificate,
        "tls.key": one.privateKey,
        "ca.crt": one.certificate,
        "tls.ocsp-staple": "x",
      }),
    );
  const ingest = new SecretIngest({ client, references: [references], secrets, clock: systemClock, log });
  const stop = new AbortController();
  const running = ingest.run(stop.signal);
  for (const resource of ["kubernetes://pair", "kubernetes://roots-cacert"])
    for (const reference of secretReferences(resource, "edge"))
      if (!reference.optional) references.set(resource, reference);
  await until(() => secrets.size === 2);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /a staple is left out .*edge\/pair/);
  stop.abort();
  await running;
});

test("only referenced secrets are held; changes, absence and faults are recorded, and unreferenced ones are dropped", async () => {
  const graph = new CollectionGraph();
  const references = graph.source<SecretReference>("references");
  const secrets = graph.source<SecretFacts>("secrets");
  const lines: string[] = [];
  const log = createLogger({ scope: "pilot", level: "info", write: (line) => void lines.push(line) });
  const client = new FakeKubeClient();
  client.put(secretKind, secret("web", { "tls.crt": one.certificate, "tls.key": one.privateKey }));
  client.put(secretKind, secret("unnamed", { "tls.crt": one.certificate, "tls.key": one.privateKey }));
  const ingest = new SecretIngest({ client, references: [references], secrets, clock: systemClock, log });
  const stop = new AbortController();
  const running = ingest.run(stop.signal);
  for (const name of ["web", "gone"])
    for (const reference of secretReferences(`kubernetes://${name}`, "edge")) references.set(name, reference);
  await until(() => secrets.size === 2);
  assert.deepEqual(
    [secrets.get("edge/gone")?.exists, "value" in (secrets.get("edge/web")?.keyPair ?? {})],
    [false, true],
  );
  client.put(secretKind, secret("web", { "tls.crt": two.certificate, "tls.key": one.privateKey }));
  await until(() => "fault" in (secrets.get("edge/web")?.keyPair ?? {}));
  assert.match(
    lines.join(""),
    /a secret that a gateway asks for cannot be used.*edge\/web.*is not the key of the certificate/,
  );
  client.put(secretKind, secret("web", { "tls.crt": two.certificate, "tls.key": two.privateKey }));
  await until(() => "value" in (secrets.get("edge/web")?.keyPair ?? {}));
  references.delete("gone");
  await until(() => secrets.get("edge/gone") === undefined);
  assert.deepEqual(
    [...secrets.entries()].map(([key]) => key),
    ["edge/web"],
  );
  // The reference returns before the first watch has ended, and the secret is deleted in between.
  const [again] = secretReferences("kubernetes://web", "edge");
  references.delete("web");
  await client.delete(secretKind, "web", "edge");
  if (again !== undefined) references.set("web", again);
  await until(() => secrets.get("edge/web")?.exists === false);
  stop.abort();
  await running;
});

test("reading a secret does not look at the references to all others, because one Gateway may name thousands", async (context) => {
  const graph = new CollectionGraph();
  const references = graph.source<SecretReference>("references");
  const secrets = graph.source<SecretFacts>("secrets");
  const ingest = new SecretIngest({
    client: new FakeKubeClient(),
    references: [references],
    secrets,
    clock: systemClock,
    log: silentLogger,
  });
  const stop = new AbortController();
  const running = ingest.run(stop.signal);
  const count = 50;
  for (let index = 0; index < count; index += 1)
    for (const reference of secretReferences(`kubernetes://${index}`, "edge")) references.set(String(index), reference);
  const scans = context.mock.method(references, "values");
  await until(() => secrets.size === count);
  assert.ok(scans.mock.callCount() < 5, `${scans.mock.callCount()} scans of all references`);
  stop.abort();
  await running;
});
