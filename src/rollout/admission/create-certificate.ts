import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { basicConstraints, distinguishedName, extendedKeyUsage, subjectAltName, X509Signer } from "../../x509/index.ts";
import type { WebhookCertificate } from "./webhook-certificate.ts";

const lifetimeMs = 365 * 86_400_000;
const generateKeys = promisify(generateKeyPair);

export async function createCertificate(dnsNames: readonly string[], nowMs: number): Promise<WebhookCertificate> {
  const { publicKey, privateKey } = await generateKeys("ec", { namedCurve: "P-256" });
  const [notBeforeMs, notAfterMs] = [nowMs - 60_000, nowMs + lifetimeMs];
  const name = distinguishedName({ commonName: dnsNames[0] ?? "" });
  const certificate = await new X509Signer(privateKey).certificateInPool({
    issuer: name,
    subject: name,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    notBeforeMs,
    notAfterMs,
    extensions: [
      basicConstraints("authority", 0),
      extendedKeyUsage("server"),
      subjectAltName(
        dnsNames.map((dns) => ({ dns })),
        { critical: false },
      ),
    ],
  });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { certificate, privateKey: pem, notBeforeMs, notAfterMs };
}
