import { isIP } from "node:net";
import { derElement, derObjectIdentifier, derSequence, derTags } from "./der.ts";

export interface NameParts {
  readonly organizations?: readonly string[];
  /** Absent or empty if the name has no common name. */
  readonly commonName?: string;
}

const organizationId = "55040a";
export const commonNameId = "550403";

export function distinguishedName({ organizations = [], commonName = "" }: NameParts): Buffer {
  const attributes = organizations.map((value) => attribute(organizationId, value));
  if (commonName !== "") attributes.push(attribute(commonNameId, commonName));
  return derSequence(...attributes);
}

function attribute(id: string, value: string): Buffer {
  const text = derElement(derTags.utf8String, Buffer.from(value));
  return derElement(derTags.set, derSequence(derObjectIdentifier(id), text));
}

export type AlternativeName = { readonly uri: string } | { readonly dns: string } | { readonly ip: string };

const nameTags = { dns: 0x82, uri: 0x86, ip: 0x87 } as const;

export function alternativeName(name: AlternativeName): Buffer {
  if ("uri" in name) return derElement(nameTags.uri, Buffer.from(name.uri));
  if ("dns" in name) return derElement(nameTags.dns, Buffer.from(name.dns));
  return derElement(nameTags.ip, addressBytes(name.ip));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  const numbers = [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
  return Buffer.from(numbers.flatMap((number) => [number >> 8, number & 0xff]));
}
