import type { JSX } from "preact";

/** Icons of 16 by 16, which take the colour of the text around them. */
const shapes = {
  good: <path d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM4.9 8.2l2.2 2.2 4-4.5" />,
  warn: <path d="M8 1.8 15 14H1L8 1.8ZM8 6v4M8 11.6v.9" />,
  bad: <path d="M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2l3.7-3.7ZM5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" />,
  idle: <path d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM5 8h6" />,
  info: <path d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM8 7.2v4M8 4.6v.9" />,
  unknown: <path d="M2 2h12v12H2zM6 6.2c0-2.6 4-2.6 4 0 0 1.6-2 1.5-2 3M8 11v.9" />,
  moving: (
    <path d="M8 1.5A6.5 6.5 0 0 1 14.5 8M8 14.5A6.5 6.5 0 0 1 1.5 8M14.5 8l1-2.4M14.5 8l-2.3-1.2M1.5 8l-1 2.4M1.5 8l2.3 1.2" />
  ),
  paused: <path d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM6.3 5.5v5M9.7 5.5v5" />,
  undone: <path d="M2 6.5h8a4 4 0 0 1 0 8H6M5 3.2 1.8 6.5 5 9.8" />,
  search: <path d="M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2ZM10.8 10.8 14.5 14.5" />,
  overview: <path d="M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z" />,
  graph: (
    <path d="M3.5 5.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM12.5 9.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM5 14.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM5.4 4.3l5.2 2.4M10.7 8.4 6.8 11.4" />
  ),
  ladder: <path d="M4.5 1.5v13M11.5 1.5v13M4.5 4.5h7M4.5 8h7M4.5 11.5h7" />,
  rollouts: <path d="M1.5 14h4v-4h4V6h4V2M11 4.2 13.5 1.8 16 4.2" />,
  more: <path d="M2 4h12M2 8h12M2 12h12" />,
  light: (
    <path d="M8 4.8a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13" />
  ),
  dark: <path d="M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1Z" />,
  auto: <path d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM8 1.5v13M8 4h3.6M8 8h6M8 12h3.6" />,
  user: <path d="M8 8.2a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM2 14.5c.6-3 3-4.3 6-4.3s5.4 1.3 6 4.3" />,
  close: <path d="m3.5 3.5 9 9M12.5 3.5l-9 9" />,
  arrow: <path d="M2 8h11M9 4l4 4-4 4" />,
  lock: <path d="M3.5 7h9v7h-9zM5.5 7V4.5a2.5 2.5 0 0 1 5 0V7" />,
  help: <path d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM6 6.3c0-2.7 4-2.7 4 0 0 1.5-2 1.4-2 2.9M8 11.2v.9" />,
  down: <path d="m4 6 4 4 4-4" />,
} as const;
export type IconName = keyof typeof shapes;

/** An icon only decorates. Its meaning is in the text beside it, or in the `label` of its button. */
export function Icon({ name, size = 16 }: { readonly name: IconName; readonly size?: number }): JSX.Element {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {shapes[name]}
    </svg>
  );
}
