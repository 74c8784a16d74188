/** One received resource. `body` is the resource's own message, without the Any around it. */
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

export interface XdsSubscription {
  readonly typeUrl: string;
  /**
   * `wildcard` requests everything that the server has for this client. `named` requests the names given to {@link
   * XdsClient.setNames}.
   */
  readonly mode: "wildcard" | "named";
  /**
   * Applies an update. The update is acknowledged when this returns, or when the returned promise resolves. Later
   * updates wait for the promise. If it throws, the message becomes the text of the NACK, and the update's versions are
   * not recorded. Removals after a reconnect arrive in the same way.
   */
  apply(update: XdsUpdate): void | Promise<void>;
}

export interface XdsNode {
  readonly id: string;
  readonly cluster?: string;
  /** ISTIO_VERSION, NODE_NAME and others, as istiod reads them. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
}

/** A source of xDS resources: a delta ADS stream, or a local file. */
export interface XdsClient {
  /** Runs until the signal aborts. It reconnects by itself, and keeps applied resources meanwhile. */
  run(signal: AbortSignal): Promise<void>;
  setNames(typeUrl: string, names: Iterable<string>): void;
  /** Resolves when each wildcard type has been applied once. */
  readonly synced: Promise<void>;
  readonly connected: boolean;
  /** Whether a received update is not applied yet. */
  readonly behind: boolean;
}
