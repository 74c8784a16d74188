/** One resource as it came: `body` is the resource's own message, without the Any around it. */
export interface XdsResource {
  readonly name: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly typeUrl: string;
  readonly body: Uint8Array;
}

export interface XdsUpdate {
  readonly typeUrl: string;
  readonly resources: readonly XdsResource[];
  readonly removed: readonly string[];
}

/** What a client wants of one type. Types are requested in the order in which they are given. */
export interface XdsSubscription {
  readonly typeUrl: string;
  /** `wildcard`: everything that the server has for us. `named`: what {@link XdsClient.setNames} says. */
  readonly mode: "wildcard" | "named";
  /**
   * Takes an update; it is ACKed after it returns. What it throws becomes the NACK's text, and the versions of the
   * update are not kept. Removals that follow from a reconnect are delivered the same way. A promise holds the answer, and
   * later updates, until it settles.
   */
  apply(update: XdsUpdate): void | Promise<void>;
}

export interface XdsNode {
  readonly id: string;
  readonly cluster?: string;
  /** ISTIO_VERSION, NODE_NAME, … as istiod reads them. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
}

/** A control plane's endpoint and how we prove who we are. Files are read again at every connect. */
export interface ControlPlaneEndpoint {
  /** `https://host:port` or `http://host:port`. */
  readonly url: string;
  /** PEM file of the roots; the system's when absent. */
  readonly rootCertificateFile?: string;
  /** File with the service account token, sent as bearer. */
  readonly tokenFile?: string;
  /** Further headers, such as `clusterid`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Name to verify in the server's certificate instead of the host. */
  readonly serverName?: string;
}

/** A source of xDS resources: a delta ADS stream, or a local file. */
export interface XdsClient {
  /** Runs until the signal is aborted; reconnects by itself, and what was applied stays meanwhile. */
  run(signal: AbortSignal): Promise<void>;
  /** Replaces the names that are wanted of a `named` type. */
  setNames(typeUrl: string, names: Iterable<string>): void;
  /** Resolves when each wildcard type has been applied once. */
  readonly synced: Promise<void>;
  readonly connected: boolean;
  /** An update that has come is not in force yet. */
  readonly behind: boolean;
}
