import { createPublicKey } from "node:crypto";
import {
  checkKey,
  commonNameId,
  type DerElement,
  derOfPem,
  DerReader,
  derTags,
  isSignedBy,
  readSigned,
} from "../../x509/index.ts";

/** The parts of a PKCS #10 request that the cluster's signers check or copy. */
export interface CertificateRequestParts {
  /** The whole subject, as DER. */
  readonly subject: Buffer;
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** The SubjectPublicKeyInfo, as DER. */
  readonly publicKey: Buffer;
  /** The requested extension `subjectAltName`, as DER. */
  readonly subjectAltName: Buffer | undefined;
  readonly alternatives: readonly ("dns" | "ip" | "email" | "uri" | "other")[];
}

const organizationId = "55040a";
const extensionRequestId = "2a864886f70d01090e";
const subjectAltNameId = "551d11";
const kindOfTag: Readonly<Record<number, CertificateRequestParts["alternatives"][number]>> = {
  0x81: "email",
  0x82: "dns",
  0x86: "uri",
  0x87: "ip",
};

/**
 * Reads a request in PEM, and checks its key and its own signature. Throws an error that says why if the request is
 * invalid.
 */
export function readCertificateRequest(pem: string): CertificateRequestParts {
  const der = derOfPem(pem, /^CERTIFICATE REQUEST$/);
  if (der === undefined) throw new Error("PEM block type must be CERTIFICATE REQUEST");
  const request = readSigned(der);
  const info = new DerReader(request.signed.contents);
  info.next(derTags.integer);
  const subject = info.next(derTags.sequence);
  const publicKey = info.next(derTags.sequence).encoded;
  const key = createPublicKey({ key: publicKey, format: "der", type: "spki" });
  checkKey(key);
  if (!isSignedBy(request, key)) throw new Error("the request is not signed by its own key");
  const attributes = info.optional(derTags.context0);
  const subjectAltName = attributes === undefined ? undefined : alternativeNames(attributes);
  return {
    subject: subject.encoded,
    ...readSubject(subject),
    publicKey,
    subjectAltName: subjectAltName?.encoded,
    alternatives: subjectAltName === undefined ? [] : kindsOf(subjectAltName),
  };
}

/**
 * The names in a subject, which the API server turns into a user and its groups. As in Kubernetes, the last common name
 * applies.
 */
export function readSubject(subject: DerElement): { readonly commonName: string; readonly organizations: string[] } {
  return {
    commonName: valuesOf(subject, commonNameId).at(-1) ?? "",
    organizations: valuesOf(subject, organizationId),
  };
}

/** The tags of the string types whose bytes are UTF-8, at least for ASCII texts. */
const utf8Tags: ReadonlySet<number> = new Set([0x0c, 0x12, 0x13, 0x14, 0x16]);

/**
 * The values of one attribute of a name. Throws for a string type with two or four bytes for each character, because
 * OpenSSL could read a group in it that this check would miss.
 */
function valuesOf(name: DerElement, identifier: string): string[] {
  const values: string[] = [];
  for (const sets = new DerReader(name.contents); !sets.isAtEnd;) {
    for (const entries = sets.inside(derTags.set); !entries.isAtEnd;) {
      const entry = entries.inside(derTags.sequence);
      const found = entry.next(derTags.objectIdentifier).contents.toString("hex");
      const value = entry.next();
      if (found !== identifier) continue;
      if (!utf8Tags.has(value.tag))
        throw new Error("the subject has a string type that is not read here: use UTF8String");
      values.push(value.contents.toString("utf8"));
    }
  }
  return values;
}

function alternativeNames(attributes: DerElement): DerElement | undefined {
  for (const list = new DerReader(attributes.contents); !list.isAtEnd;) {
    const attribute = list.inside(derTags.sequence);
    const identifier = attribute.next(derTags.objectIdentifier).contents.toString("hex");
    const values = attribute.inside(derTags.set);
    if (identifier !== extensionRequestId) continue;
    for (const extensions = values.inside(derTags.sequence); !extensions.isAtEnd;) {
      const extension = extensions.next(derTags.sequence);
      const id = new DerReader(extension.contents).next(derTags.objectIdentifier).contents.toString("hex");
      if (id === subjectAltNameId) return extension;
    }
  }
  return undefined;
}

function kindsOf(extension: DerElement): CertificateRequestParts["alternatives"] {
  const parts = new DerReader(extension.contents);
  parts.next(derTags.objectIdentifier);
  parts.optional(derTags.boolean);
  const kinds: CertificateRequestParts["alternatives"][number][] = [];
  for (const names = parts.inside(derTags.octetString).inside(derTags.sequence); !names.isAtEnd;)
    kinds.push(kindOfTag[names.next().tag] ?? "other");
  return kinds;
}
