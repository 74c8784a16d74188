import { userError } from "../../base/index.ts";

/** The parts of an image's name, for example `docker.io/library/busybox` and `1.36`. */
export interface ImageReference {
  readonly repository: string;
  /** The tag, or `latest` if the name has none. A digest is ignored. */
  readonly tag: string;
}

/** Parses an image's name. Completes short names as Docker does. Throws a user error for an invalid name. */
export function parseImageReference(image: string): ImageReference {
  const [name = ""] = image.split("@");
  const lastSlash = name.lastIndexOf("/");
  const colon = name.indexOf(":", lastSlash + 1);
  const path = colon === -1 ? name : name.slice(0, colon);
  const tag = colon === -1 ? "latest" : name.slice(colon + 1);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._:/-]*$/.test(path) || tag === "" || path.endsWith("/")) {
    throw userError("image-name-invalid", `couldn't parse image name "${image}": invalid reference format`);
  }
  const [first = "", ...rest] = path.split("/");
  const hasRegistry = rest.length > 0 && (first.includes(".") || first.includes(":") || first === "localhost");
  if (hasRegistry) return { repository: path, tag };
  return { repository: `docker.io/${rest.length === 0 ? "library/" : ""}${path}`, tag };
}

/** Whether a pattern matches a repository. `*` stands for any characters, including slashes. */
export function matchesImagePattern(pattern: string, repository: string): boolean {
  const expression = pattern
    .split("*")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${expression}$`).test(repository);
}
