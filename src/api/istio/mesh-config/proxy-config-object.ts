import { defineKind } from "../../kind.ts";
import type { KubernetesObject, LabelSelector } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import { openObject, readText, refuseDryRun, warnOfUnknown } from "../fields.ts";
import type { Reader } from "../../reader.ts";
import { networkingGroup } from "../networking-group.ts";
import { readWorkloadSelector } from "../policy-target.ts";

/**
 * networking.istio.io ProxyConfig: proxy settings that override the mesh config. They apply to pods that start after
 * the object was written.
 */
export interface ProxyConfigObject extends KubernetesObject {
  spec: ProxyConfigObjectSpec;
}

export interface ProxyConfigObjectSpec {
  readonly selector?: LabelSelector | undefined;
  /** The number of worker threads. 0 means one for each core. Absent means the mesh's setting. */
  readonly concurrency?: number | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  /** The image variant: `default`, `debug` or `distroless`. */
  readonly image?: { readonly imageType: string } | undefined;
}

function parseProxyConfigObject(raw: unknown): Parsed<ProxyConfigObject> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const image = reader.object("image");
  const spec: ProxyConfigObjectSpec = {
    selector: readWorkloadSelector(reader),
    concurrency: reader.integer("concurrency", 0),
    environmentVariables: readVariables(reader),
    image: image === undefined ? undefined : { imageType: readText(image, "imageType") ?? "default" },
  };
  warnOfUnknown(image);
  warnOfUnknown(reader);
  return object.finish(() => ({ ...(raw as ProxyConfigObject), spec }));
}

/**
 * Environment variables that make the dynamic linker, the shell, OpenSSL or Node run other code or trust other
 * certificates. They are refused: whoever may write a ProxyConfig could otherwise run code as every service account of
 * the namespace.
 */
const ofProgram =
  /^(LD_|NODE_|OPENSSL_|SSL_|XDG_|GCONV_|GLIBC_|BASH_|NSS_)|^(PATH|HOME|ENV|IFS|SHELL|TMPDIR|SSLKEYLOGFILE|LOCPATH)$/i;

function readVariables(reader: Reader): Readonly<Record<string, string>> {
  const variables = reader.stringMap("environmentVariables");
  for (const name of Object.keys(variables))
    if (ofProgram.test(name))
      reader.error(
        "must not be set here, because it changes what program runs in the proxies' containers; the mesh's operator can set it in meshConfig.defaultConfig.proxyMetadata",
        `environmentVariables.${name}`,
      );
  return variables;
}

export const proxyConfigKind = defineKind<ProxyConfigObject>({
  group: networkingGroup,
  versions: ["v1beta1"],
  kind: "ProxyConfig",
  plural: "proxyconfigs",
  namespaced: true,
  parse: parseProxyConfigObject,
});
