import type * as Yaml from "yaml";
import { loadPackage, messageOf, userError } from "../../base/index.ts";
import { appletNames } from "./applets.ts";
import type { ImageEntry } from "./image-entry.ts";

const knownFields = new Set([
  "images",
  "release",
  "entrypoint",
  "arguments",
  "aliases",
  "applets",
  "environment",
  "workingDirectory",
  "user",
]);

/** Reads a catalogue file. Throws a user error that names the entry and the field. */
export function parseImageCatalogue(text: string, source: string): ImageEntry[] {
  let document: unknown;
  try {
    document = loadPackage<typeof Yaml>("yaml").parse(text);
  } catch (error) {
    throw userError("file-invalid", `${source} is not YAML: ${messageOf(error)}`);
  }
  const list = (document as { images?: unknown } | null)?.images;
  if (!Array.isArray(list)) throw userError("file-invalid", `${source}: "images" must be a list`);
  return list.map((raw, index) => parseEntry(raw, `${source}: images[${index}]`));
}

function parseEntry(raw: unknown, place: string): ImageEntry {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw))
    throw userError("file-invalid", `${place} must be a map`);
  const fields = raw as Record<string, unknown>;
  for (const name of Object.keys(fields)) {
    if (!knownFields.has(name))
      throw userError(
        "file-invalid",
        `${place}.${name}: unknown field; expected one of ${[...knownFields].join(", ")}`,
      );
  }
  const strings = (name: string): string[] => {
    const value = fields[name] ?? [];
    if (!Array.isArray(value) || value.some((item) => typeof item !== "string"))
      throw userError("file-invalid", `${place}.${name} must be a list of strings`);
    return value as string[];
  };
  const environment = fields["environment"] ?? {};
  if (
    typeof environment !== "object" ||
    environment === null ||
    Object.values(environment).some((value) => typeof value !== "string")
  ) {
    throw userError("file-invalid", `${place}.environment must be a map of strings`);
  }
  const release = fields["release"] ?? "cluster";
  if (release !== "tag" && release !== "cluster")
    throw userError("file-invalid", `${place}.release must be "tag" or absent`);
  const workingDirectory = fields["workingDirectory"] ?? "/";
  if (typeof workingDirectory !== "string")
    throw userError("file-invalid", `${place}.workingDirectory must be a string`);
  const user = fields["user"] ?? "0:0";
  if (typeof user !== "string" || !/^\d+(:\d+)?$/.test(user))
    throw userError("file-invalid", `${place}.user must be a user's number, or "user:group" in numbers`);
  const images = strings("images");
  if (images.length === 0) throw userError("file-invalid", `${place}.images must have at least one pattern`);
  const wanted = strings("applets");
  const applets = appletNames.filter((name) => wanted.includes(name));
  const unknown = wanted.find((name) => !applets.some((applet) => applet === name));
  if (unknown !== undefined)
    throw userError(
      "file-invalid",
      `${place}.applets: unknown applet "${unknown}"; expected one of ${appletNames.join(", ")}`,
    );
  return {
    images,
    release,
    entrypoint: strings("entrypoint"),
    arguments: strings("arguments"),
    aliases: strings("aliases"),
    applets,
    environment: environment as Record<string, string>,
    workingDirectory,
    user,
  };
}
