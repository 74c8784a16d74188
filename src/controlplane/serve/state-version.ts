import { memos } from "../model/memos.ts";
import { contentHash } from "../translate/content-hash.ts";
import type { EncodedResource } from "../translate/index.ts";
import type { ResourceGroups } from "./subscription.ts";

const listVersions = memos.memo<readonly EncodedResource[], string>("version-of-lists");

/** The version of a whole state-of-the-world response. The same resources have the same version in every process. */
export function versionOf(groups: ResourceGroups): string {
  const versions = groups.map((list) => listVersions.of(list, versionOfList));
  return versions.length === 1 ? (versions[0] ?? "") : contentHash(Buffer.from(versions.join("\n")));
}

function versionOfList(resources: readonly EncodedResource[]): string {
  const lines = resources.map((resource) => `${resource.name}@${resource.version}`).sort();
  return contentHash(Buffer.from(lines.join("\n")));
}
