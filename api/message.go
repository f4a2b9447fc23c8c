package api

func (a *API) messageEndpoints() []endpoint {
	return nil
}
