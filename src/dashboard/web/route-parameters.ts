/** What stands in a route's path after its name, decoded. */
export interface RouteParameters {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}
