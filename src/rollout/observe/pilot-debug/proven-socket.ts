import { X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import { afterRunning, transientError, truncated, type Clock, type SerinError } from "../../../base/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import { connectionError } from "../http-get.ts";
import { unreachable } from "./debug-faults.ts";

const namesCharacters = 240;

export interface PilotTrust {
  /** The certificates that may have signed the server's certificate, as PEM. They may be intermediates. */
  readonly roots: readonly string[];
  readonly names: readonly string[];
  /** Where the roots come from, for a message. */
  readonly source: string;
}

/**
 * Connects, and checks the server's certificate before the engine sends anything. The time limit applies to the whole
 * handshake, because a server could send it byte by byte.
 */
export async function provenSocket(
  to: { readonly host: string; readonly port: number },
  trust: PilotTrust,
  { limitMs, clock }: { readonly limitMs: number; readonly clock: Clock },
): Promise<TLSSocket> {
  const where = formatAuthority(to.host, to.port);
  const [servername = ""] = trust.names;
  // With an empty list, Node would trust the public certificate authorities.
  if (trust.roots.length === 0) throw unproven(where, "no root of it is known", `its root must be in ${trust.source}`);
  return await new Promise((resolve, reject) => {
    const socket = connect({
      ...to,
      servername,
      ca: [...trust.roots],
      // The root that a control plane publishes may be an intermediate. Go's TLS clients accept this too.
      allowPartialTrustChain: true,
      rejectUnauthorized: true,
      checkServerIdentity: (_, { raw }) => otherName(new X509Certificate(raw), trust),
      ALPNProtocols: ["h2"],
    });
    const fail = (error: SerinError): void => {
      limit[Symbol.dispose]();
      socket.destroy();
      reject(error);
    };
    const late = (): void => fail(unreachable(`${where} did not end the TLS handshake in ${limitMs} ms`));
    const limit = afterRunning(limitMs, late, clock);
    socket.once("close", () => fail(unreachable(`${where} closed the connection in the TLS handshake`)));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      fail(
        isRefused(socket)
          ? unproven(where, faultIn(error), adviceFor(error.code ?? "", trust))
          : connectionError(where, error),
      ),
    );
    socket.once("secureConnect", () => {
      if (socket.alpnProtocol !== "h2") return fail(unreachable(`${where} does not speak HTTP/2`));
      limit[Symbol.dispose]();
      resolve(socket);
    });
  });
}

const otherNameCode = "ERR_TLS_CERT_ALTNAME_INVALID";

/**
 * The error for a certificate without an expected name. Compares only subject alternative names, because a workload may
 * choose the common name of its own certificate.
 */
function otherName(certificate: X509Certificate, { names }: PilotTrust): Error | undefined {
  const options = { subject: "never", wildcards: false } as const;
  if (names.some((name) => certificate.checkHost(name, options) !== undefined)) return undefined;
  const { subjectAltName: all = "" } = certificate;
  const found = all === "" ? "no name" : truncated(all, namesCharacters);
  const fault = new Error(`its certificate is for ${found}, and not for ${names.join(" or ")}`);
  return Object.assign(fault, { code: otherNameCode });
}

/** Whether the client refused the server's certificate. The socket has an authorization error only in this case. */
function isRefused({ authorizationError }: { readonly authorizationError: unknown }): boolean {
  return authorizationError !== undefined && authorizationError !== null;
}

/** The fault that OpenSSL reports, without Node's advice about its own options. */
function faultIn({ message }: Error): string {
  return message.replace(/; if the root CA is installed locally.*$/, "");
}

/** How to mend a fault that OpenSSL reports. Empty if no advice is known. */
function adviceFor(code: string, { source }: PilotTrust): string {
  switch (code) {
    case otherNameCode:
      return "give its certificate the name of a Service of istiod in its namespace";
    case "CERT_HAS_EXPIRED":
      return "renew the expired certificate of its chain, and compare the clocks of the two nodes";
    case "CERT_NOT_YET_VALID":
      return "compare the clocks of the two nodes";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "CERT_SIGNATURE_FAILURE":
      return `its root must be in ${source}`;
    default:
      return "";
  }
}

function unproven(where: string, fault: string, advice: string): SerinError {
  return transientError(
    "peer-identity",
    `${where} does not prove that it is this control plane: ${fault}${advice === "" ? "" : ` (${advice})`}`,
  );
}
