// Every page of the gateway, as the list of pages on it says, and those that are reached from them.
export const PAGES = [
  "/", "/charge-points", "/charge-points/1", "/charge-points/new", "/why", "/points", "/frames", "/settings", "/network", "/time", "/security",
  "/users", "/backup", "/audit", "/manual/page", "/manual/bms", "/about", "/welcome/name",
  "/welcome/modbus", "/welcome/charge-point", "/welcome/moving", "/no-such-page",
];
