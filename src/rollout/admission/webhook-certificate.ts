/** A self-signed certificate for one Service, in PEM. */
export interface WebhookCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}
