import { createHash } from "node:crypto";
import { stringify } from "yaml";
import type { Chart } from "../../install/index.ts";
import { archiveOf } from "./archive.ts";

/** Makes the files of a helm repository: `index.yaml` and an archive for each chart. */
export function repositoryOf(charts: readonly Chart[], created: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const entries: Record<string, unknown[]> = {};
  for (const { name, version, appVersion, description, files: content } of charts) {
    const archive = archiveOf(new Map([...content].map(([path, text]) => [`${name}/${path}`, text])));
    const file = `${name}-${version}.tgz`;
    files.set(file, archive);
    entries[name] = [
      {
        apiVersion: "v2",
        name,
        version,
        appVersion,
        description,
        type: "application",
        created,
        digest: createHash("sha256").update(archive).digest("hex"),
        urls: [file],
      },
    ];
  }
  files.set("index.yaml", Buffer.from(stringify({ apiVersion: "v1", entries, generated: created })));
  return files;
}
