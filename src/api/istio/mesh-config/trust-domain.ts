import { isDnsLabel } from "../domain-names.ts";

export function trustDomainFault(text: string): string | undefined {
  return text.replace(/\.$/, "").split(".").every(isDnsLabel)
    ? undefined
    : `must be a trust domain such as cluster.local, got "${text}"`;
}
