package api

func (a *API) sessionEndpoints() []endpoint {
	return nil
}
